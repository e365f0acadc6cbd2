import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { processEnvironment } from '../../infra/process/env.ts';
import { writeZip } from '../support/bundle-zip.ts';
import { HANG_MS } from '../support/hang-limit.ts';
import { repositoryRoot } from '../support/reference-data.ts';
import { findTool, needsTool } from '../support/tools.ts';
import { ZenodoServer } from '../support/zenodo-server.ts';

const run = promisify(execFile);

/** The folder that the README's commands use. */
const DEMO_FOLDER = '/tmp/maskterial-demo';

interface Recipe {
  readonly language: 'sh' | 'js';
  /** `recipe` needs npm alone, `grpcurl` needs that too. */
  readonly kind: 'recipe' | 'grpcurl';
  readonly text: string;
}

const recipes = readRecipes(readFileSync(join(repositoryRoot, 'README.md'), 'utf8'));
let folder: string;
let services: ChildProcess;
let zenodo: ZenodoServer | undefined;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'maskterial-readme-'));
  await rm(DEMO_FOLDER, { recursive: true, force: true });
  await run('npm', ['run', 'demo', '--', '--out', DEMO_FOLDER], { cwd: repositoryRoot, env: environment() });
  const bundle = await readFile(join(DEMO_FOLDER, 'CLS_GMM_Demo', 'contrast_dict.json'));
  const published = writeZip([{ name: 'CLS_GMM_GrapheneH/contrast_dict.json', bytes: bundle }]);
  zenodo = await ZenodoServer.start('15765516', new Map([['CLS_GMM_GrapheneH.zip', published]]));
  // In a group of its own: npm does not pass a signal on to what it runs.
  services = spawn('npm', ['start'], {
    cwd: repositoryRoot,
    env: environment(),
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  await untilRunning(services);
});

after(async () => {
  const exited = once(services, 'exit');
  process.kill(-(services.pid ?? 0), 'SIGTERM');
  await exited;
  await zenodo?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
  await rm(DEMO_FOLDER, { recursive: true, force: true });
});

test('the README has recipes of every kind', () => {
  const kinds = new Set(recipes.map(({ language, kind }) => `${language} ${kind}`));
  assert.deepEqual([...kinds].toSorted(), ['js recipe', 'sh grpcurl', 'sh recipe']);
});

for (const { language, kind, text } of recipes) {
  const title = text.split('\n').find((line) => line.trim() !== '') ?? '';
  test(`README: ${title.slice(0, 90)}`, kind === 'grpcurl' ? needsTool('grpcurl') : {}, async () => {
    const command: [string, string[]] =
      language === 'js'
        ? [process.execPath, ['--input-type=module', '--eval', text]]
        : ['bash', ['-euo', 'pipefail', '-c', text]];
    const { stdout } = await run(...command, { cwd: repositoryRoot, env: environment(), maxBuffer: 64 * 1024 * 1024 });
    for (const expected of expectations(text)) {
      assert.match(stdout, expected);
    }
  });
}

test('what the recipes wrote is what the README promises', async () => {
  const csv = await readFile(join(DEMO_FOLDER, 'flakes.csv'), 'utf8');
  assert.match(csv, /^image,flake,layer,area_px,area_um2,/);
  assert.ok(csv.split('\n').length > 10);
  const answer: unknown = JSON.parse((await readFile(join(DEMO_FOLDER, 'flakes.jsonl'), 'utf8')).split('\n')[0] ?? '');
  assert.ok(
    typeof answer === 'object' &&
      answer !== null &&
      'flakes' in answer &&
      Array.isArray(answer.flakes) &&
      answer.flakes.length > 10,
  );
  const scan = (await readFile(join(DEMO_FOLDER, 'scan.csv'), 'utf8')).trim().split('\r\n');
  assert.equal(scan.length, 1 + 3 * 17, 'every image of the folder, although all were done before');
  const dataset: unknown = JSON.parse(await readFile(join(DEMO_FOLDER, 'coco.json'), 'utf8'));
  assert.ok(typeof dataset === 'object' && dataset !== null && 'images' in dataset && 'annotations' in dataset);
  assert.ok(Array.isArray(dataset.images) && dataset.images.length === 3);
  assert.ok(Array.isArray(dataset.annotations) && dataset.annotations.length >= 3 && dataset.annotations.length < 3 * 17);
  const overlay = await sharp(join(DEMO_FOLDER, 'overlays', 'micrograph.overlay.png')).metadata();
  assert.equal(overlay.width, 1920);
});

/** What a recipe's output must show, by what stands in it. */
function expectations(text: string): RegExp[] {
  const table: [RegExp, RegExp][] = [
    [
      /InferenceService\/Predict/,
      /"flake": \{[\s\S]*"layerName": "\d layers?"[\s\S]*"summary": \{[\s\S]*"manifestDigest": "sha256:[0-9a-f]{64}"/,
    ],
    [/PromoteVersion/, /"alias": "canary",\s+"version": 1/],
    [/ListAliasEvents/, /"action": "ALIAS_ACTION_ROLLBACK"/],
    [/GetStatus/, /"registry": "REGISTRY_CONNECTION_CONNECTED"/],
    [/Health\/Check/, /"status": "SERVING"/],
    [/WatchAliases/, /"snapshot": \{/],
    [/ list$/m, /maskterial\.registry\.v1\.RegistryService/],
    [/maskterial import zenodo/, /1 new, 0 known before/],
    [/maskterial publish .*--keep-sources/, /2 new, 0 known before; /],
    [/maskterial publish .* --(?:promote|model)/, /sha256:[0-9a-f]{64}/],
    [/maskterial history/, /rollback/],
    [/maskterial promote .* --wait/, /1 of 1 servers serve CLS_GMM_Demo:2/],
    [/maskterial prefetch/, /CLS_GMM_Demo:2 is held ready by 1 or more servers/],
    [/maskterial rollout/, /CLS_GMM_Demo@production +2 +\d+ +1 of 1 /],
    [/GetRollout/, /"requiredServers": 1/],
    [/predictFlakes/, /\d layers? \d+\.\d \{ x: /],
    [/maskterial predict/, /17 flakes/],
  ];
  return table.flatMap(([isIn, expected]) => (isIn.test(text) ? [expected] : []));
}

function readRecipes(markdown: string): Recipe[] {
  return [...markdown.matchAll(/^```(sh|js) (recipe|grpcurl)\n(.*?)^```$/gms)].map(([, language, kind, text = '']) => ({
    language: language === 'js' ? 'js' : 'sh',
    kind: kind === 'grpcurl' ? 'grpcurl' : 'recipe',
    text,
  }));
}

/** The services keep their data in the test's folder; everything else is as a user has it. */
function environment(): NodeJS.ProcessEnv {
  const { PATH = '', ...env } = processEnvironment();
  const grpcurl = findTool('grpcurl');
  return {
    ...env,
    PATH: grpcurl === undefined ? PATH : `${dirname(grpcurl)}${delimiter}${PATH}`,
    REGISTRY_DATA: join(folder, 'registry'),
    MODEL_PATH: join(folder, 'models'),
    LOG_LEVEL: 'error',
    // Zenodo cannot be asked from everywhere, nor as often as tests run.
    ...(zenodo === undefined ? {} : { MASKTERIAL_ZENODO: zenodo.url }),
  };
}

function untilRunning(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = '';
    const timer = setTimeout(() => reject(new Error(`npm start did not come up: ${text}`)), HANG_MS);
    child.stdout?.on('data', (part) => {
      text += String(part);
      if (/^ {2}inference /m.test(text)) {
        clearTimeout(timer);
        resolve();
      }
    });
    child.once('exit', (code) => reject(new Error(`npm start ended with ${String(code)}: ${text}`)));
  });
}
