drop function jobs.forget_finished(interval);
drop function jobs.rescue_stalled(interval);
drop function jobs.defer_global(text, text, jsonb, text);
drop function jobs.defer(text, text, jsonb, text, text, integer, timestamptz);
