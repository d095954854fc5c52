"""A row of a directory is written together with the tenant's row that it leads to.

An invitation has none before its mail is made: its token, of which the directory holds the hash, is made then.
"""

from tests.stack import Stack

# By which transactions the rows of an organization and their places in the directories were written.
WRITTEN = """
select 'organization', o.xmin::text, d.xmin::text
from tenancy.organizations o
left join identity.organization_directory d using (organization_id)
where organization_id = %(organization)s
union all
select 'seat', u.xmin::text, d.xmin::text
from tenancy.users u
left join identity.seat_directory d on d.organization_id = u.organization_id and d.user_id = u.id
where u.organization_id = %(organization)s
union all
select 'key', k.xmin::text, d.xmin::text
from tenancy.api_keys k
left join identity.api_key_directory d on d.organization_id = k.organization_id and d.api_key_id = k.id
where k.organization_id = %(organization)s
"""


async def test_a_directory_row_is_written_in_the_transaction_of_what_it_leads_to(stack: Stack) -> None:
    owner = await stack.register()
    (await owner.post("/keys", {"name": "first"})).data  # noqa: B018
    (organization,) = stack.rows("select organization_id from tenancy.users where email = %s", owner.email)[0]
    written = stack.rows(WRITTEN.replace("%(organization)s", f"'{organization}'"))
    assert sorted(kind for kind, _, _ in written) == ["key", "organization", "seat"]
    assert [kind for kind, row, place in written if row != place] == []
