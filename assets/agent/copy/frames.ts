/** Message types of PostgreSQL's frontend/backend protocol 3.0 that are met while a server copies out. */
const COPY_DATA = 0x64;
const PASSED_OVER: ReadonlySet<number> = new Set([
  0x48, // CopyOutResponse
  0x4e, // NoticeResponse
  0x53, // ParameterStatus
  0x41, // NotificationResponse
]);

/** A message's type and its length. */
const HEADER_BYTES = 5;

/**
 * Finds, in what a server sends during COPY TO STDOUT, the CopyData messages: their bytes, heads included, are just what
 * the other server wants to be sent during COPY FROM STDIN. So rows are handed on without being cut out, joined or
 * copied, however many or however long they are.
 */
export class CopyFrames {
  /** Bytes of the present message that are still to come. */
  private left = 0;
  private handOn = false;
  /** Beginning of a head whose rest is in the next piece. */
  private head: Buffer = Buffer.alloc(0);

  /**
   * Takes the next piece from the socket.
   *
   * @param pass is given what is to be sent to the other server
   * @returns undefined while rows may follow, else what comes after them: CopyDone, or an error
   */
  take(piece: Buffer, pass: (bytes: Buffer) => void): Buffer | undefined {
    const bytes = this.head.length === 0 ? piece : Buffer.concat([this.head, piece]);
    this.head = EMPTY;
    let from = 0;
    let at = 0;
    for (;;) {
      const end = at + this.left;
      if (end > bytes.length) break;
      at = end;
      this.left = 0;
      if (!this.handOn) from = at;
      if (bytes.length - at < HEADER_BYTES) break;
      const type = bytes[at] as number;
      const handOn = type === COPY_DATA;
      if (!handOn && !PASSED_OVER.has(type)) {
        if (at > from) pass(bytes.subarray(from, at));
        return bytes.subarray(at);
      }
      if (handOn !== this.handOn) {
        if (this.handOn && at > from) pass(bytes.subarray(from, at));
        from = at;
        this.handOn = handOn;
      }
      this.left = 1 + bytes.readUInt32BE(at + 1);
    }
    if (this.left === 0) {
      if (this.handOn && at > from) pass(bytes.subarray(from, at));
      // The piece's memory is read into again.
      this.head = Buffer.from(bytes.subarray(at));
    } else {
      if (this.handOn && bytes.length > from) pass(bytes.subarray(from));
      this.left -= bytes.length - at;
    }
    return undefined;
  }
}

const EMPTY: Buffer = Buffer.alloc(0);
