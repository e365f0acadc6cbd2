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
      // Some terminals do not know their width and say 0.
      return stream.columns === undefined || stream.columns === 0 ? 80 : stream.columns;
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
