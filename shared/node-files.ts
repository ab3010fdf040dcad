/** The requests by which a worker fetches a file of the master, and delivers one to it. */

/** GET, with `file_name`: the file's bytes, as /download gives them (ranges, conditions). */
export const FETCH_PATH = '/nodes/file';

/** HEAD: how far a delivery has come. PUT: its bytes from there on. Both with the query of a `Delivery`. */
export const DELIVERY_PATH = '/nodes/delivery';

/** Whose a fetched file is, percent-encoded; no such header: nobody's. */
export const OWNER_HEADER = 'fasttask-file-owner';

/** The digest of a whole file, SHA-256 in hexadecimal digits; no such header: not known. */
export const DIGEST_HEADER = 'x-content-sha256';

/** How many bytes of a delivery have arrived. */
export const OFFSET_HEADER = 'fasttask-offset';

/** What a delivery is of. A delivery that was made may be made again: then nothing is sent and nothing changes. */
export interface Delivery {
  /** The file's name. */
  name: string;
  /** SHA-256 in hexadecimal digits. */
  sha256: string;
  /** Bytes. */
  size: number;
  /** The account that the file belongs to; empty: nobody. */
  owner: string;
}

/** The path of a delivery's requests. */
export function deliveryPath({ name, sha256, size, owner }: Delivery): string {
  return `${DELIVERY_PATH}?${new URLSearchParams({ file_name: name, sha256, size: String(size), owner })}`;
}

/** The path of a fetch. */
export function fetchPath(name: string): string {
  return `${FETCH_PATH}?${new URLSearchParams({ file_name: name })}`;
}

/** The validator that the master gives a file of this size and last change (nanoseconds since 1970). */
export function etagOf({ size, mtimeNs }: { size: number; mtimeNs: bigint }): string {
  return `"${size.toString(16)}-${mtimeNs.toString(16)}"`;
}
