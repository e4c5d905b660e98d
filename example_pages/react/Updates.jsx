import { useEvents } from "./useEvents.js";

export function Updates({ origin }) {
  const { events, restart, close, isStopped } = useEvents(`${origin}/updates/events`, "update");
  const state = isStopped ? "closed" : events.length ? "open" : "connecting";

  return (
    <div className="card">
      <div className="row">
        <button id="restart" onClick={restart}>Restart</button>
        <button id="close" className="quiet" onClick={close} disabled={isStopped}>Close</button>
        <span className="state" data-state={state} role="status">{state}</span>
      </div>
      <p className="soft">from <code id="origin">{origin}</code></p>
      <ol className="events">
        {events.map(({ id, data }) => (
          <li key={id}>
            <span>{data.time}, load {data.load}</span>
            <code>id {id}</code>
          </li>
        ))}
      </ol>
    </div>
  );
}
