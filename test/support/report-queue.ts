import type { CallReport } from '../../proto/wire/handlers.ts';

/** Collects call reports; `next` resolves with each in turn, as soon as it is there. */
export function reportQueue(): {
  report(call: CallReport): void;
  next(): Promise<CallReport>;
  readonly reports: readonly CallReport[];
} {
  const reports: CallReport[] = [];
  const waiting: ((call: CallReport) => void)[] = [];
  let taken = 0;
  return {
    reports,
    report: (call) => {
      reports.push(call);
      const resolve = waiting.shift();
      if (resolve !== undefined) {
        taken += 1;
        resolve(call);
      }
    },
    next: () =>
      new Promise((resolve) => {
        const ready = reports[taken];
        if (ready === undefined) {
          waiting.push(resolve);
        } else {
          taken += 1;
          resolve(ready);
        }
      }),
  };
}
