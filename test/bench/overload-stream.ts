import { readFile } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import type { StreamImage } from '../../clients/inference-client.ts';
import { memoryOfTree } from './memory.ts';
import type { Services } from './services.ts';

const IMAGES = 1000;
/** Slower than the engines: an image waits for its reader, not for an engine. */
const READER_MS = 60;

/** A thousand images through one stream whose reader is slow: what it costs in memory over what a hundred at full speed cost. */
export async function benchSlowReader({ inference, processes }: Services, path: string, model: string): Promise<void> {
  const image = await readFile(path);
  const pid = processes[1]?.pid ?? 0;
  const run = async (count: number, readerMs: number): Promise<{ readonly peakMib: number; readonly seconds: number }> => {
    let sent = 0;
    let peakMib = 0;
    let most = 0;
    let answered = 0;
    const images = function* (): Generator<StreamImage> {
      for (; sent < count; sent += 1) {
        most = Math.max(most, sent - answered);
        yield { id: String(sent), image };
      }
    };
    const started = performance.now();
    for await (const outcome of inference.predictAll(images(), { classification: model })) {
      if ('error' in outcome) {
        throw outcome.error;
      }
      answered += 1;
      peakMib = Math.max(
        peakMib,
        memoryOfTree(pid).reduce((sum, { residentMib }) => sum + residentMib, 0),
      );
      await setTimeout(readerMs);
    }
    console.log(`  ${count} images, reader waits ${readerMs} ms: ${answered} answered, at most ${most} sent and not yet read`);
    return { peakMib, seconds: (performance.now() - started) / 1000 };
  };
  console.log('\none PredictStream');
  const fast = await run(IMAGES / 10, 0);
  const slow = await run(IMAGES, READER_MS);
  console.log(
    `  resident memory of server and engines, at most: ${fast.peakMib.toFixed(0)} MiB read at once, ${slow.peakMib.toFixed(0)} MiB read slowly; ratio ${(slow.peakMib / fast.peakMib).toFixed(2)}`,
  );
  console.log(
    `  images/s: ${(IMAGES / 10 / fast.seconds).toFixed(1)} read at once, ${(IMAGES / slow.seconds).toFixed(1)} read slowly; all its bytes: ${((IMAGES * image.byteLength) / 2 ** 20).toFixed(0)} MiB`,
  );
}
