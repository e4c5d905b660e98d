// The server listens on two ports. To a browser the other port is another origin, whose streams it
// may read only because the server allows it (CORS). Behind a proxy there may be only one origin.
export async function otherOrigin() {
  const response = await fetch("/updates/origins");
  const origins = await response.json();
  const isOther = (origin) =>
    origin !== location.origin &&
    new URL(origin).hostname === location.hostname &&
    new URL(origin).protocol === location.protocol;
  return origins.find(isOther) ?? location.origin;
}
