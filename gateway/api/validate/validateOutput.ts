import type { Handler } from '../../app.ts';
import { GatewayError } from '../../errors.ts';

export const validateOutput: Handler = () => Promise.reject(new GatewayError('internal_error'));
