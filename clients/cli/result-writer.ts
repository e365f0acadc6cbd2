import type { Prediction } from '../inference-client.ts';
import { CSV_HEADER, csvRows } from './csv.ts';
import { errorJson } from './report-error.ts';
import { resultJson } from './result-json.ts';
import { resultTable } from './result-table.ts';
import type { TextOutput } from './text-output.ts';

export type ResultFormat = 'table' | 'csv' | 'json';

/** Writes results as they come; what was written stays valid when the run stops half-way. */
export interface ResultWriter {
  begin(): Promise<void>;
  image(path: string, prediction: Prediction): Promise<void>;
  /** Only JSON says failures in its output; the report at the end lists them for people. */
  failure(path: string, error: unknown): Promise<void>;
}

export function createResultWriter(format: ResultFormat, out: TextOutput): ResultWriter {
  const nothing = async (): Promise<void> => undefined;
  switch (format) {
    case 'table':
      return { begin: nothing, image: (path, prediction) => out.write(resultTable(path, prediction)), failure: nothing };
    case 'csv':
      return {
        begin: () => out.write(CSV_HEADER),
        image: (path, prediction) => out.write(csvRows(path, prediction)),
        failure: nothing,
      };
    case 'json':
      return {
        begin: nothing,
        image: (path, prediction) => out.write(`${JSON.stringify(resultJson(path, prediction))}\n`),
        failure: (path, error) => out.write(`${JSON.stringify({ image: path, error: errorJson(error) })}\n`),
      };
  }
}
