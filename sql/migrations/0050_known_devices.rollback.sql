delete from ops.reviewed_functions where function in ('identity.former_devices(uuid, uuid)', 'identity.session_device(uuid)');
drop function identity.session_device(uuid);
drop function identity.former_devices(uuid, uuid);
