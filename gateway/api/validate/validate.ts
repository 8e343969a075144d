import type { Handler } from '../../app.ts';
import { GatewayError } from '../../errors.ts';

export const validate: Handler = () => Promise.reject(new GatewayError('internal_error'));
