import type { TextOutput } from '../../clients/cli/text-output.ts';

/** Keeps what was written: a pipe, or a terminal of 80 columns. */
export class MemoryOutput implements TextOutput {
  readonly isTerminal: boolean;
  readonly columns = 80;
  text = '';

  constructor(isTerminal = false) {
    this.isTerminal = isTerminal;
  }

  async write(text: string): Promise<void> {
    this.text += text;
  }
}
