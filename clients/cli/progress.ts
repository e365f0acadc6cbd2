import type { TextOutput } from './text-output.ts';

export interface Progress {
  /**
   * Counts one more as done. `line` says what came of it, in a pipe; what was done before this run is no measure of how fast
   * this one is.
   */
  step(line: string, isFromBefore?: boolean): Promise<void>;
  /** Takes the bar off the screen before `print` writes, so that results and bar do not mix; the next step draws it again. */
  around(print: () => Promise<void>): Promise<void>;
  /** Takes the bar off for good. */
  finish(): Promise<void>;
}

const BAR_WIDTH = 24;
const CLEAR_LINE = '\r\u001b[K';

/** A bar with rate and remaining time on a terminal, plain lines in a pipe, nothing for a single thing to do in a pipe. */
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
  let doneNow = 0;
  const draw = async (): Promise<void> => {
    const filled = Math.round((BAR_WIDTH * done) / Math.max(1, total));
    const speed = formatSpeed(doneNow, now() - started, total - done);
    const text = `[${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}] ${done}/${total} ${noun}${speed}`;
    await err.write(`${CLEAR_LINE}${text.slice(0, err.columns - 1)}`);
  };
  return {
    async step(_, isFromBefore = false) {
      done += 1;
      doneNow += isFromBefore ? 0 : 1;
      await draw();
    },
    async around(print) {
      await err.write(CLEAR_LINE);
      await print();
    },
    finish: () => err.write(CLEAR_LINE),
  };
}

/** Nothing before there is a measure. */
function formatSpeed(doneCount: number, elapsedMs: number, leftCount: number): string {
  if (doneCount === 0 || elapsedMs <= 0) {
    return '';
  }
  const perSecond = (doneCount * 1000) / elapsedMs;
  const rate = perSecond >= 1 ? `${perSecond.toFixed(1)}/s` : `${(perSecond * 60).toFixed(1)}/min`;
  return `, ${rate}, ${formatSeconds((leftCount / perSecond) * 1000)} left`;
}

function formatSeconds(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 120) {
    return `${seconds} s`;
  }
  return seconds < 7200 ? `${Math.ceil(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
