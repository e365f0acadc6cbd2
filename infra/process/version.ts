import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's version, from its package.json: the nearest one above this file, wherever it was compiled to. */
export function projectVersion(): string {
  const manifest: unknown = JSON.parse(
    readFileSync(join(packageRoot(dirname(fileURLToPath(import.meta.url))), 'package.json'), 'utf8'),
  );
  if (typeof manifest !== 'object' || manifest === null || !('version' in manifest) || typeof manifest.version !== 'string') {
    throw new Error('package.json has no version');
  }
  return manifest.version;
}

function packageRoot(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : packageRoot(dirname(folder));
}
