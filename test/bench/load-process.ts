// A process of its own that calls Predict as it is ordered to, so that what it costs is not what the bench's clock sees.
// Arguments: address, image file, classification model.
import { readFile } from 'node:fs/promises';
import process from 'node:process';
import { tuneForLargeBuffers } from '../../infra/process/garbage-collection.ts';
import { isServiceError } from '../../proto/wire/errors.ts';
import { LeanPredict } from './lean-predict.ts';
import { type LoadCall, type LoadOrder, type LoadReport, nowMs } from './load-orders.ts';

tuneForLargeBuffers();
const [address = '', path = '', model = ''] = process.argv.slice(2);
const client = new LeanPredict(address, await readFile(path), model);

process.on('disconnect', () => process.exit(0));
process.on('message', (order: LoadOrder) => {
  void perform(order).then((report) => process.send?.(report));
});
process.send?.('ready');

async function perform(order: LoadOrder): Promise<LoadReport> {
  const calls: LoadCall[] = [];
  const cpuBefore = process.cpuUsage();
  const startedMs = nowMs();
  const endMs = startedMs + order.durationMs;
  if (order.kind === 'closed') {
    const caller = async (): Promise<void> => {
      while (nowMs() < endMs) {
        calls.push(await predict());
      }
    };
    await Promise.all(Array.from({ length: order.callers }, caller));
  } else {
    const inHand: Promise<void>[] = [];
    const gapMs = 1000 / order.perSecond;
    for (let dueMs = startedMs; dueMs < endMs; dueMs += gapMs) {
      const waitMs = dueMs - nowMs();
      if (waitMs > 0) {
        await new Promise((resolve) => setTimeout(resolve, waitMs));
      }
      inHand.push(predict().then((call) => void calls.push(call)));
    }
    await Promise.all(inHand);
  }
  const { user, system } = process.cpuUsage(cpuBefore);
  return { calls, elapsedMs: nowMs() - startedMs, cpuMs: (user + system) / 1000 };
}

async function predict(): Promise<LoadCall> {
  const startedMs = nowMs();
  try {
    const digest = await client.call();
    return { startedMs, tookMs: nowMs() - startedMs, digest, reason: undefined };
  } catch (error) {
    const reason = isServiceError(error) ? error.reason : String(error);
    return { startedMs, tookMs: nowMs() - startedMs, digest: undefined, reason };
  }
}
