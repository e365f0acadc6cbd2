// Writes the example stack's template: `npm run synth`. Talks to no account.
import { join } from 'node:path';
import { createExampleApp } from './example-app.ts';

const { app, stack } = createExampleApp({ outFolder: join(process.cwd(), 'dist', 'cdk') });
app.synth();
console.log(join('dist', 'cdk', stack.templateFile));
