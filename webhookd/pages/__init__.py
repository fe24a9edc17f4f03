"""The pages: `/admin/` for admins, `/portal/` for partners.

A page is a module and a template. It reads and writes through the API's own routes (`api.inside`), with the
caller of its session, and knows neither store nor rows: what may be done, and by whom, is said once. Only the
sessions themselves are rows of their own (`sessions`).
"""
