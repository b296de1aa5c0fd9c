/** Which addresses a page built from strangers' words may lead to. */

/** The absolute address when it is plain http or https, else null: no `javascript:`, no `data:`, nothing relative. */
export function safeLink(address) {
  if (!/^https?:\/\//i.test(address)) return null;
  const url = parse(address);
  return url && (url.protocol === "https:" || url.protocol === "http:") && url.hostname ? url.href : null;
}

/** The address of an image that this server serves or that is its own data, else null: nobody else is asked. */
export function ownImage(address) {
  if (/^data:image\/(?:png|jpeg|webp);base64,/.test(address)) return address;
  const url = parse(address, location.href);
  return url && url.origin === location.origin ? url.href : null;
}

function parse(address, base) {
  try {
    return new URL(address, base);
  } catch (error) {
    if (error instanceof TypeError) return null; // what URL throws for text that is no address
    throw error;
  }
}
