/**
 * The words that the wire formats themselves use as keys and as values of `type`. They say nothing; everything that is
 * not listed is read as text, so a word that is missing here costs a look and no more.
 */

export interface Vocabulary {
  readonly keys: ReadonlySet<string>;
  readonly types: ReadonlySet<string>;
}

const words = (...lists: readonly string[]): string[] => lists.join(' ').split(/\s+/).filter(Boolean);

const SCHEMA_TYPES = 'string number integer boolean object array null';
const SCHEMA_KEYS = `$defs $ref $schema $id additionalProperties allOf anyOf const default definitions description enum
  examples exclusiveMaximum exclusiveMinimum format items maximum maxItems maxLength maxProperties minimum minItems
  minLength minProperties multipleOf not nullable oneOf pattern patternProperties prefixItems properties
  propertyNames required strict title type uniqueItems`;
const COMMON_KEYS = 'role content text name id index url data detail file filename file_id status';

const CHAT_KEYS = `arguments audio city country custom region timezone approximate user_location search_context_size
  file_data format function functions function_call grammar syntax definition image_url input_audio json_schema
  parameters refusal schema thinking reasoning_content tool_call_id tool_calls transcript cache_control ttl
  include_usage annotations url_citation start_index end_index video_url input image`;
const CHAT_TYPES = `text image_url input_audio file refusal function custom json_schema json_object grammar content
  approximate ephemeral allowed_tools video_url audio_url image audio document message url_citation`;

const RESPONSES_KEYS = `action actions acknowledged_safety_checks allowed_tools annotations approve approximate
  approval_request_id arguments background call_id changes city code connector_id container container_id country
  definition defer_loading diff display_height display_width effort encrypted_content end_index env environment
  error exit_code file_data file_ids file_url filters format function grammar headers image_url input input_audio
  json_schema key keys language logs logprobs max_num_results max_output_length memory_limit namespace operation outcome output outputs
  parameters path phase pending_safety_checks process_id quality queries query quantity ranking_options ranker reason
  reasoning refusal region require_approval result results schema score score_threshold scroll_x scroll_y
  search_context_size server_description server_label server_url shell size sources start_index stderr stdout summary
  syntax timeout_ms timezone tool_choice tools user_location value variables vector_store_ids verbosity
  working_directory x y mode never always tool_names authorization require attributes`;
const RESPONSES_TYPES = `message item_reference reasoning compaction function_call function_call_output
  custom_tool_call custom_tool_call_output computer_call computer_call_output local_shell_call
  local_shell_call_output shell_call shell_call_output apply_patch_call apply_patch_call_output mcp_call
  mcp_list_tools mcp_approval_request mcp_approval_response code_interpreter_call file_search_call web_search_call
  image_generation_call tool_search_call tool_search_output program program_output additional_tools input_text
  input_image input_file input_audio output_text reasoning_text summary_text text refusal url_citation file_citation
  container_file_citation file_path logs image exit timeout click double_click drag keypress move screenshot scroll
  wait search open_page find find_in_page exec computer_screenshot create_file delete_file update_file function custom
  file_search web_search web_search_2025_08_26 web_search_preview web_search_preview_2025_03_11 computer
  computer_use_preview mcp code_interpreter image_generation local_shell shell apply_patch namespace tool_search auto
  container_auto container_reference local skill_reference inline eq ne gt gte lt lte in nin and or json_schema
  json_object grammar allowed_tools approximate url`;

const MESSAGES_KEYS = `allowed_callers allowed_domains blocked_domains cache_control caller citations cited_text
  city code configs content context country default_config defer_loading document_index document_title
  disable_parallel_tool_use display_height_px display_number display_width_px edits enabled encrypted_content
  encrypted_index encrypted_stdout end_block_index end_char_index end_page_number error_code file_type input
  input_examples input_schema is_error is_file_update keep lines max_characters max_content_tokens max_uses
  mcp_server_name media_type new_lines new_start num_lines old_lines old_start page_age region retrieved_at
  return_code server_name signature source start_block_index start_char_index start_line start_page_number stderr
  stdout thinking timezone tool_configuration tool_id tool_name tool_references tool_use_id tools total_lines trigger
  ttl user_location value allowed_tools authorization_token output_config effort schema container skills skill_id
  version clear_at_least exclude_tools clear_tool_inputs search_result_index`;
const MESSAGES_TYPES = `text image document thinking redacted_thinking compaction search_result tool_use
  server_tool_use mcp_tool_use tool_result mcp_tool_result tool_search_tool_result tool_search_tool_search_result
  tool_reference web_search_tool_result web_search_result web_fetch_tool_result web_fetch_result
  code_execution_tool_result code_execution_result encrypted_code_execution_result bash_code_execution_tool_result
  bash_code_execution_result bash_code_execution_output code_execution_output text_editor_code_execution_tool_result
  text_editor_code_execution_view_result text_editor_code_execution_create_result
  text_editor_code_execution_str_replace_result container_upload base64 url file content ephemeral char_location
  page_location content_block_location web_search_result_location search_result_location auto any tool none custom
  enabled disabled adaptive approximate direct mcp_toolset json_schema input_tokens tool_uses thinking_turns all
  web_search_tool_result_error web_fetch_tool_result_error code_execution_tool_result_error
  bash_code_execution_tool_result_error text_editor_code_execution_tool_result_error tool_search_tool_result_error
  bash_20241022 bash_20250124 text_editor_20241022 text_editor_20250124 text_editor_20250429 text_editor_20250728
  computer_20241022 computer_20250124 computer_20251124 web_search_20250305 web_fetch_20250910
  code_execution_20250522 code_execution_20250825 memory_20250818 tool_search_tool_regex_20251119
  tool_search_tool_bm25_20251119 clear_tool_uses_20250919 clear_thinking_20251015 compact_20260112`;

/** What a JSON Schema may name as a type, which may also be a list of them. */
export const SCHEMA_TYPE_WORDS: ReadonlySet<string> = new Set(words(SCHEMA_TYPES));

const vocabulary = (keys: string, types: string): Vocabulary => ({
  keys: new Set(words(SCHEMA_KEYS, COMMON_KEYS, keys)),
  types: new Set(words(SCHEMA_TYPES, types)),
});

/** Chat completions, and the plain requests whose parts are spelled alike. */
export const CHAT_WORDS = vocabulary(CHAT_KEYS, CHAT_TYPES);
export const RESPONSES_WORDS = vocabulary(RESPONSES_KEYS, RESPONSES_TYPES);
export const MESSAGES_WORDS = vocabulary(MESSAGES_KEYS, MESSAGES_TYPES);
