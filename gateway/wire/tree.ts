/** The JSON reader as the engine's tool checks use it: a text is readable or it is not. */
import type { Tree } from '../../engine/tools/tree.ts';
import { JsonError, parseJson } from './json.ts';

/** Null when the text is no JSON, repeats a key, or is nested deeper than `depthMax`. */
export function parseTree(text: string, depthMax: number): Tree | null {
  try {
    return parseJson(text, depthMax);
  } catch (error) {
    if (error instanceof JsonError) return null;
    throw error;
  }
}
