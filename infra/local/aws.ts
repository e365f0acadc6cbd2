// Runs the local stand-ins for DynamoDB and S3 until ctrl-c: `npm run local:aws`. Prints the settings that point the services
// at them, as lines for a shell; their data is gone afterwards.
import { join } from 'node:path';
import { processEnvironment } from '../process/env.ts';
import { startLocalAws } from './aws-servers.ts';

const servers = await startLocalAws({ folder: join(process.cwd(), '.local'), env: processEnvironment() });
for (const [name, value] of Object.entries(servers.env)) {
  console.log(`export ${name}=${value}`);
}
await new Promise<void>((resolve) => {
  process.once('SIGINT', () => resolve());
  process.once('SIGTERM', () => resolve());
});
await servers.stop();
