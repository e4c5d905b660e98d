import { useChat } from "@ai-sdk/react";
import { DefaultChatTransport } from "ai";
import { useEffect, useState } from "react";

const API = "/assistant/chat";
const transport = new DefaultChatTransport({ api: API });
const STATES = { submitted: "connecting", streaming: "open", ready: "closed", error: "closed" };

export function Assistant({ id }) {
  const [stored] = useState(() => JSON.parse(localStorage[`assistant-${id}`] ?? "[]"));
  const [question, setQuestion] = useState("What is a stream?");
  const [cut, setCut] = useState(null); // Why the answer is not the whole.
  const { messages, sendMessage, regenerate, resumeStream, status } = useChat({
    id,
    transport,
    messages: stored,
    resume: true, // GET /assistant/chat/<id>/stream
    onFinish: ({ isDisconnect, isError }) => setCut(isDisconnect ? "network" : isError ? "failure" : null),
  });
  const isBusy = status === "submitted" || status === "streaming";
  const hasAnswer = messages.at(-1)?.role === "assistant";
  const isCut = !isBusy && cut !== null;

  // Part of an answer is not stored: after a reload it would be taken for the whole, if there is
  // nothing to resume any more.
  useEffect(() => {
    const whole = hasAnswer && (isBusy || isCut) ? messages.slice(0, -1) : messages;
    if (whole.length) localStorage[`assistant-${id}`] = JSON.stringify(whole);
  }, [id, messages, hasAnswer, isBusy, isCut]);

  // The answer goes on without the network.
  useEffect(() => {
    if (isBusy || cut !== "network") return;
    const timer = setTimeout(resumeStream, 1000);
    return () => clearTimeout(timer);
  }, [isBusy, cut, resumeStream]);

  const ask = (event) => {
    event.preventDefault();
    if (isBusy) return;
    sendMessage({ text: question });
    setQuestion("");
  };

  // The hook's own stop() would end the request, and the job would go on.
  const stop = () => isBusy && fetch(`${API}/${id}`, { method: "DELETE" });

  return (
    <div className="card">
      <div className="row">
        <h2>Conversation</h2>
        <span className="state" data-state={STATES[status]} role="status">{status}</span>
      </div>
      <ol className="log" role="log" aria-label="Conversation" aria-busy={isBusy} tabIndex="0">
        {messages.map(({ id, role, parts }) => (
          <li key={id}>
            <b>{role === "user" ? "You" : "Kettle"}</b>: <span>{parts.map((part) => part.text)}</span>
          </li>
        ))}
      </ol>
      <form className="row" id="ask" onSubmit={ask}>
        <input className="wide" name="question" required maxLength="500" autoComplete="off" aria-label="Question" value={question} onChange={(event) => setQuestion(event.target.value)} />
        <button aria-disabled={isBusy}>Send</button>
        <button className="quiet" type="button" id="stop" aria-disabled={!isBusy} onClick={stop}>Stop</button>
      </form>
      <div className="row">
        <p className="problem" id="problem" role="alert">{isCut && "The answer was cut off."}</p>
        {(isCut || (!isBusy && !hasAnswer && messages.length > 0)) && <button className="quiet" type="button" id="again" onClick={() => regenerate()}>Try again</button>}
      </div>
    </div>
  );
}
