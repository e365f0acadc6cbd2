import { killEngines } from '../support/engine-kills.ts';
import { soakTest } from '../support/soak/soak.ts';

const KILLS = 20;

soakTest(
  import.meta.url,
  'engines killed 20 times in the middle of a run: each time exactly the request in that engine fails',
  async (run) => {
    const seen = await killEngines(run.portion(KILLS), run.random('killed engines'));
    run.say(JSON.stringify(seen));
  },
);
