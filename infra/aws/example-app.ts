import { App } from 'aws-cdk-lib';
import { NEW_STYLE_STACK_SYNTHESIS_CONTEXT, VALIDATE_AGAINST_DEFAULT_RULES } from 'aws-cdk-lib/cx-api';
import { ExampleStack } from './example-stack.ts';

export const EXAMPLE_STACK_NAME = 'MaskterialModels';

/** The example as an app that writes its template to a folder. A template that breaks CloudFormation's schemas is an error. */
export function createExampleApp({ outFolder }: { readonly outFolder: string }): {
  readonly app: App;
  readonly stack: ExampleStack;
} {
  const app = new App({
    outdir: outFolder,
    analyticsReporting: false,
    context: {
      [VALIDATE_AGAINST_DEFAULT_RULES]: true,
      // Without assets there is nothing that an account would have to be prepared for.
      [NEW_STYLE_STACK_SYNTHESIS_CONTEXT]: false,
    },
  });
  return { app, stack: new ExampleStack(app, EXAMPLE_STACK_NAME) };
}
