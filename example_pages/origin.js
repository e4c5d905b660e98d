// The same server listens on two ports. For a browser that is another origin, whose streams it may
// read only because the server allows it (CORS). Behind a proxy there may be a single one.
export async function otherOrigin() {
  const response = await fetch("/updates/origins");
  const origins = await response.json();
  const isOther = (origin) =>
    origin !== location.origin &&
    new URL(origin).hostname === location.hostname &&
    new URL(origin).protocol === location.protocol;
  return origins.find(isOther) ?? location.origin;
}
