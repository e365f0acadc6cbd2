import { type Command, Option } from 'commander';
import type { ImportLineage } from '../import/import-bundle.ts';

export interface BundleOptions {
  /** The bundle's folder inside a source that holds several. */
  readonly bundle?: string;
  readonly doi?: string;
  readonly sourceUrl?: string;
  readonly dataset?: string;
  readonly licence?: string;
  readonly keepSources?: true;
}

/** Adds the options of commands that import: which bundle of several, and where it comes from. */
export function withBundleOptions(command: Command): Command {
  return command
    .option('--bundle <folder>', 'which bundle, where the folder or zip holds several')
    .addOption(new Option('--doi <doi>', 'where the bundle was published; kept in the manifest, like the next three'))
    .addOption(new Option('--source-url <url>', 'where it was downloaded'))
    .addOption(new Option('--dataset <name>', 'what it was trained on'))
    .addOption(new Option('--licence <name>', 'under which licence it may be used'))
    .option('--keep-sources', "keep the bundle's own files with the version too; inference never fetches them");
}

export function lineageOf({ doi, sourceUrl, dataset, licence }: BundleOptions): ImportLineage {
  return {
    ...(doi === undefined ? {} : { doi }),
    ...(sourceUrl === undefined ? {} : { sourceUrl }),
    ...(dataset === undefined ? {} : { dataset }),
    ...(licence === undefined ? {} : { licence }),
  };
}
