export type { BundleSource } from './bundle-source.ts';
export { type ImportedBundle, type ImportedFile, type ImportLineage, importBundle } from './import-bundle.ts';
export { openFolderSource } from './sources/folder-source.ts';
export { openBundle } from './sources/open-bundle.ts';
export { openZipSource } from './sources/zip-source.ts';
