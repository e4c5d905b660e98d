import { useEvents } from "./useEvents.js";

export function Updates({ origin }) {
  const { events, state, isStopped, restart, close } = useEvents(
    `${origin}/updates/events?page=react`,
    "update",
  );

  return (
    <div className="card">
      <div className="row">
        <button id="restart" onClick={restart}>Restart</button>
        <button id="close" className="quiet" onClick={close} aria-disabled={isStopped}>Close</button>
        <span className="state" data-state={state} role="status">{state}</span>
      </div>
      <p className="soft">from <code id="origin">{origin}</code></p>
      <ol className="events">
        {events.map(({ key, id, data }) => (
          <li key={key}>
            <span>{data.time}, load {data.load}</span>
            <code>id {id}</code>
          </li>
        ))}
      </ol>
    </div>
  );
}
