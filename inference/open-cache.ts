import type { Logger } from '../infra/process/log.ts';
import { isServiceError } from '../proto/wire/errors.ts';
import { type ArtifactCache, DEFAULT_CACHE_SETTINGS, openCache } from './cache/artifact-cache.ts';
import { logCacheEvent } from './event-log.ts';

/**
 * Opens the cache in the first of `folders` that can be written. A folder of the user's own choice comes alone; the default is
 * followed by one in the user's home, and the log says which it became. Any other trouble than a folder that cannot be made or
 * written, such as a full volume, is no reason to begin a second cache elsewhere.
 * @throws ServiceError as openCache does.
 */
export async function openFirstCache(folders: readonly string[], maxBytes: number, logger: Logger): Promise<ArtifactCache> {
  const [folder, ...others] = folders;
  if (folder === undefined) {
    throw new Error('no cache folder is configured');
  }
  try {
    const cache = await openCache(folder, { onEvent: logCacheEvent(logger) }, { ...DEFAULT_CACHE_SETTINGS, maxBytes });
    logger.info({ folder }, 'cache');
    return cache;
  } catch (error) {
    if (others.length === 0 || !isServiceError(error, 'failed-precondition')) {
      throw error;
    }
    logger.warn({ folder, instead: others[0], why: error.message }, 'the default cache folder cannot be used');
    return openFirstCache(others, maxBytes, logger);
  }
}
