import { soakTest } from '../support/soak/soak.ts';
import { streamThroughSwaps } from '../support/swap-stream.ts';

const IMAGES = 200;

soakTest(
  import.meta.url,
  'two hundred images while production goes back and forth ten times: each answer is that of the version it names',
  async (run) => run.say(JSON.stringify(await streamThroughSwaps(run.portion(IMAGES)))),
);
