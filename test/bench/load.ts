import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { LoadOrder, LoadReport } from './load-orders.ts';

export interface Load extends AsyncDisposable {
  readonly pid: number;
  /** One order at a time. */
  run(order: LoadOrder): Promise<LoadReport>;
}

/** Starts the load process against a server. */
export async function startLoad(address: string, imagePath: string, model: string): Promise<Load> {
  const child = fork(fileURLToPath(new URL('./load-process.js', import.meta.url)), [address, imagePath, model], {
    serialization: 'advanced',
  });
  await once(child, 'message');
  return {
    pid: child.pid ?? 0,
    run: async (order) => {
      const report = once(child, 'message');
      child.send(order);
      const [message] = await report;
      return message as LoadReport;
    },
    [Symbol.asyncDispose]: async () => {
      const exited = once(child, 'exit');
      child.disconnect();
      await exited;
    },
  };
}
