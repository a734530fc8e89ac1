"""A template provider for any node that answers RPC. ``docs/template-provider.md`` is its manual.

`run` is the whole role; `TemplateProvider` is its handler, to put beside others in one service::

    async with RpcClient(url, CookieFile(path)) as rpc:
        node = Node(rpc)
        submitter = Submitter(node, Journal(folder))
        provider = TemplateProvider(node, submitter)
        async with Sv2ServerService(config, template_distribution=provider) as service:
            await service.serve_forever()

What is pure is apart: `selection` and `template` make templates, `solution` makes blocks.
"""

from sv2.roles.template_provider.app import App, StartError
from sv2.roles.template_provider.config import Config, ConfigFault, load_config
from sv2.roles.template_provider.journal import DataDirInUse, Journal
from sv2.roles.template_provider.provider import ProviderSettings, TemplateProvider
from sv2.roles.template_provider.selection import NoRoom
from sv2.roles.template_provider.source import SourceSettings
from sv2.roles.template_provider.submitter import SubmitSettings, Submitter
from sv2.roles.template_provider.template import Constraints, Template, build_template

__all__ = [
    "App",
    "Config",
    "ConfigFault",
    "Constraints",
    "DataDirInUse",
    "Journal",
    "NoRoom",
    "ProviderSettings",
    "SourceSettings",
    "StartError",
    "SubmitSettings",
    "Submitter",
    "Template",
    "TemplateProvider",
    "build_template",
    "load_config",
]
