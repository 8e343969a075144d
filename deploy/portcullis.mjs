#!/usr/bin/env node
/** The `portcullis` command: set-up when something is missing, then the program in this same process. */
import { setupOrExit } from './setup.mjs';

await setupOrExit('start');
const { main } = await import('../.build/gateway/cli.js');
process.exitCode = await main(process.argv.slice(2));
