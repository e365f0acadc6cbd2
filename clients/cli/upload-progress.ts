import type { PublishProgress } from '../publish.ts';
import { formatBytes } from './registry-json.ts';
import { messageOf } from './report-error.ts';
import type { TextOutput } from './text-output.ts';

export interface UploadProgress {
  readonly show: (progress: PublishProgress) => void;
  /** Takes the line off the terminal. */
  readonly finish: () => Promise<void>;
}

/** Shows an upload: one line that is drawn anew on a terminal, a line a file in a pipe. */
export function createUploadProgress(output: TextOutput): UploadProgress {
  let shownPath: string | undefined;
  let isDrawn = false;
  // Progress comes from a generator that must not wait; a lost line of it harms nobody.
  const write = (text: string): void => {
    output.write(text).catch(() => undefined);
  };
  const line = (text: string): void => {
    write(`${isDrawn ? '\r\u001b[K' : ''}${text}\n`);
    isDrawn = false;
  };
  return {
    show(progress) {
      const { stage, path = '', sentBytes, missingBytes } = progress;
      const amount = `${formatBytes(sentBytes)} of ${formatBytes(missingBytes)}`;
      switch (stage) {
        case 'staged':
          line(missingBytes === 0 ? 'the registry holds every file already' : `uploading ${formatBytes(missingBytes)}`);
          break;
        case 'uploading':
          if (output.isTerminal) {
            write(`\r\u001b[K${amount}  ${path}`.slice(0, output.columns + 3));
            isDrawn = true;
          } else if (path !== shownPath) {
            line(`uploading ${path}`);
          }
          shownPath = path;
          break;
        case 'resuming':
          line(`upload broke (${messageOf(progress.error)}); resuming at ${amount}`);
          shownPath = undefined;
          break;
        case 'finalizing':
          line('verifying');
          break;
      }
    },
    finish: async () => {
      if (isDrawn) {
        await output.write('\r\u001b[K');
      }
    },
  };
}
