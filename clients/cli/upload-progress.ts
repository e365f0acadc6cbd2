import type { PublishProgress } from '../publish.ts';
import { LiveLine } from './live-line.ts';
import { formatBytes } from './registry-json.ts';
import { messageOf } from './report-error.ts';
import { printable } from './table.ts';
import type { TextOutput } from './text-output.ts';

export interface UploadProgress {
  readonly show: (progress: PublishProgress) => void;
  /** A file on its way here, before it can be published. */
  readonly fetching: (path: string, doneBytes: number, sizeBytes: number) => void;
  /** What takes a moment and cannot be measured: on a terminal only. */
  readonly working: (text: string) => void;
  readonly print: (text: string) => void;
  /** Takes the line off the terminal. */
  readonly finish: () => Promise<void>;
}

/** Shows what is sent: one line that is drawn anew on a terminal, a line a file in a pipe. `prefix` stands before every line. */
export function createUploadProgress(output: TextOutput, prefix = ''): UploadProgress {
  const live = new LiveLine(output);
  let shown: string | undefined;
  const print = (text: string): void => live.print(`${prefix}${text}`);
  const moving = (verb: string, path: string, amount: string): void => {
    const text = `${verb} ${printable(path)}`;
    if (live.isTerminal) {
      live.draw(`${prefix}${amount}  ${printable(path)}`);
    } else if (text !== shown) {
      print(text);
    }
    shown = text;
  };
  return {
    print,
    show({ stage, path = '', sentBytes, missingBytes, error }) {
      const amount = amountOf(sentBytes, missingBytes);
      switch (stage) {
        case 'staged':
          print(missingBytes === 0 ? 'the registry holds every file already' : `uploading ${formatBytes(missingBytes)}`);
          break;
        case 'uploading':
          moving('uploading', path, amount);
          break;
        case 'resuming':
          print(`upload broke (${messageOf(error)}); resuming at ${amount}`);
          shown = undefined;
          break;
        case 'finalizing':
          print('verifying');
          break;
      }
    },
    fetching: (path, doneBytes, sizeBytes) => moving('fetching', path, amountOf(doneBytes, sizeBytes)),
    working: (text) => live.draw(`${prefix}${text}`),
    finish: () => live.finish(),
  };
}

function amountOf(doneBytes: number, sizeBytes: number): string {
  return `${formatBytes(doneBytes)} of ${formatBytes(sizeBytes)}`;
}
