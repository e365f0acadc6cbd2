import type { TextOutput } from './text-output.ts';

export interface Progress {
  /** Counts one more as done. `line` says what came of it, in a pipe. */
  step(line: string): Promise<void>;
  /** Takes the bar off the screen before `print` writes, so that results and bar do not mix; the next step draws it again. */
  around(print: () => Promise<void>): Promise<void>;
  /** Takes the bar off for good. */
  finish(): Promise<void>;
}

const BAR_WIDTH = 24;
const CLEAR_LINE = '\r\u001b[K';

/** A bar on a terminal, plain lines in a pipe, nothing where there is a single thing to do in a pipe. */
export function createProgress(err: TextOutput, total: number, noun: string, now: () => number): Progress {
  return err.isTerminal ? bar(err, total, noun, now) : lines(err, total);
}

function lines(err: TextOutput, total: number): Progress {
  let done = 0;
  return {
    async step(line) {
      done += 1;
      if (total > 1) {
        await err.write(`${done}/${total} ${line}\n`);
      }
    },
    around: (print) => print(),
    finish: async () => undefined,
  };
}

function bar(err: TextOutput, total: number, noun: string, now: () => number): Progress {
  const started = now();
  let done = 0;
  const draw = async (): Promise<void> => {
    const filled = Math.round((BAR_WIDTH * done) / Math.max(1, total));
    const left = done === 0 ? '' : `, ${formatSeconds(((now() - started) / done) * (total - done))} left`;
    const text = `[${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}] ${done}/${total} ${noun}${left}`;
    await err.write(`${CLEAR_LINE}${text.slice(0, err.columns - 1)}`);
  };
  return {
    async step() {
      done += 1;
      await draw();
    },
    async around(print) {
      await err.write(CLEAR_LINE);
      await print();
    },
    finish: () => err.write(CLEAR_LINE),
  };
}

function formatSeconds(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  return seconds < 120 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`;
}
