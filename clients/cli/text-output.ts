import type { Writable } from 'node:stream';

/** Where text goes: a terminal, a pipe or a file. */
export interface TextOutput {
  readonly isTerminal: boolean;
  /** Characters a line, on a terminal. */
  readonly columns: number;
  /** Resolves once the stream took the text, so that a slow reader slows the writer down. */
  write(text: string): Promise<void>;
}

export function textOutput(stream: Writable & { readonly isTTY?: boolean; readonly columns?: number }): TextOutput {
  return {
    isTerminal: stream.isTTY === true,
    get columns() {
      return stream.columns ?? 80;
    },
    write: (text) =>
      new Promise((resolve, reject) => {
        stream.write(text, (error) => {
          if (error === null || error === undefined) {
            resolve();
          } else {
            reject(error);
          }
        });
      }),
  };
}
