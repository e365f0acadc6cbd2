import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { codeOf, isAbsent } from './fs-errors.ts';

/**
 * Makes a folder and those above it, where missing. Unlike `mkdir` with `recursive`, which tries for ever where the system
 * answers ENOENT below a folder that exists (/proc).
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await makeOne(path);
  } catch (error) {
    if (!isAbsent(error) || dirname(path) === path) {
      throw error;
    }
    await makeFolder(dirname(path));
    await makeOne(path);
  }
}

async function makeOne(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') {
      throw error;
    }
  }
}
