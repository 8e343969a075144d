export type SetupMode = 'start' | 'test';
export function setup(options: { mode: SetupMode }): Promise<void>;
export function setupOrExit(mode: SetupMode): Promise<void>;
