import type { BlobStore } from '../../../registry/release/blob-store.ts';

/** The same store, but for some methods. */
export function overriding(blobs: BlobStore, methods: Partial<BlobStore>): BlobStore {
  return new Proxy(blobs, {
    get: (target, key) => {
      const value: unknown = Reflect.get(Object.hasOwn(methods, key) ? methods : target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
