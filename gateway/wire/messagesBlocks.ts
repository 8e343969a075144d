/** Content blocks of the Anthropic Messages API: where each type says something, and whose words they are. */
import type { Role } from '../../engine/types.ts';

/**
 * How a member is read. `said`: what the block is there to say. `aside`: stands beside it. `content`: blocks of its
 * own. `source`: where an image or document comes from. `binary`: data, which may be a text. `sealed`: for the provider
 * alone. `sealed-text`: an id of what the provider holds, which the model sees too.
 */
export type Reading = 'said' | 'aside' | 'content' | 'source' | 'binary' | 'sealed' | 'sealed-text';

export interface BlockType {
  /** Of everything in it; the role of what it stands in where not given. */
  readonly role?: Role;
  /** Null: no model reads it. Members that are not listed are read as `aside`. */
  readonly members: Readonly<Record<string, Reading | null>>;
}

const CONTENT: Readonly<Record<string, Reading>> = { content: 'content' };
const OUTPUT: Readonly<Record<string, Reading>> = { stdout: 'said', stderr: 'said', content: 'content' };

export const BLOCKS: ReadonlyMap<string, BlockType> = new Map<string, BlockType>([
  ['text', { members: { text: 'said' } }],
  // Signatures and what is encrypted are for the provider alone, who refuses what it did not write.
  ['thinking', { members: { thinking: 'said', signature: null } }],
  ['redacted_thinking', { members: { data: 'sealed' } }],
  ['compaction', { members: { content: 'said', encrypted_content: 'sealed' } }],
  ['image', { members: { source: 'source' } }],
  ['document', { role: 'document', members: { source: 'source' } }],
  ['search_result', { role: 'document', members: CONTENT }],
  ['tool_use', { members: {} }],
  ['server_tool_use', { members: {} }],
  ['mcp_tool_use', { members: {} }],
  ['tool_result', { role: 'tool', members: CONTENT }],
  ['mcp_tool_result', { role: 'tool', members: CONTENT }],
  ['tool_search_tool_result', { role: 'tool', members: CONTENT }],
  ['tool_search_tool_search_result', { role: 'tool', members: { tool_references: 'content' } }],
  ['tool_reference', { role: 'tool', members: {} }],
  ['web_search_tool_result', { role: 'document', members: CONTENT }],
  ['web_search_result', { role: 'document', members: { encrypted_content: 'sealed' } }],
  ['web_fetch_tool_result', { role: 'document', members: CONTENT }],
  ['web_fetch_result', { role: 'document', members: CONTENT }],
  ['code_execution_tool_result', { role: 'tool', members: CONTENT }],
  ['code_execution_result', { role: 'tool', members: OUTPUT }],
  [
    'encrypted_code_execution_result',
    { role: 'tool', members: { encrypted_stdout: 'sealed', stderr: 'said', content: 'content' } },
  ],
  ['bash_code_execution_tool_result', { role: 'tool', members: CONTENT }],
  ['bash_code_execution_result', { role: 'tool', members: OUTPUT }],
  ['text_editor_code_execution_tool_result', { role: 'tool', members: CONTENT }],
  ['text_editor_code_execution_view_result', { role: 'tool', members: CONTENT }],
  ['text_editor_code_execution_str_replace_result', { role: 'tool', members: { lines: 'said' } }],
  // A file that the gateway never sees.
  ['container_upload', { members: { file_id: 'sealed-text' } }],
]);

/** A block of a type that is not listed, or of none. */
export const OTHER_BLOCK: BlockType = { members: { text: 'said', content: 'content' } };

export const SOURCES: ReadonlyMap<string, BlockType> = new Map<string, BlockType>([
  ['text', { role: 'document', members: { data: 'said' } }],
  ['content', { role: 'document', members: CONTENT }],
  ['base64', { members: { data: 'binary' } }],
  ['url', { members: { url: 'binary' } }],
  ['file', { members: { file_id: 'sealed' } }],
]);
