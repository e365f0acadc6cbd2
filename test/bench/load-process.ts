// A process of its own that calls Predict as it is ordered to, so that what it costs is not what the bench's clock sees.
// Arguments: address, image file, classification model.
import { readFile } from 'node:fs/promises';
import process from 'node:process';
import { createInferenceClient } from '../../clients/inference-client.ts';
import { NO_RETRY } from '../../clients/retry.ts';
import { tuneForLargeBuffers } from '../../infra/process/garbage-collection.ts';
import { isServiceError } from '../../proto/wire/errors.ts';
import { type LoadCall, type LoadOrder, type LoadReport, nowMs } from './load-orders.ts';

tuneForLargeBuffers();
const [address = '', path = '', model = ''] = process.argv.slice(2);
const image = await readFile(path);
const client = createInferenceClient({ address, timeoutMs: 60_000, retry: NO_RETRY });

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
    const { summary } = await client.predictFlakes(image, { classification: model });
    return { startedMs, tookMs: nowMs() - startedMs, digest: summary.models[0]?.manifestDigest, reason: undefined };
  } catch (error) {
    const reason = isServiceError(error) ? error.reason : String(error);
    return { startedMs, tookMs: nowMs() - startedMs, digest: undefined, reason };
  }
}
