def problem(exc, context):  # replaced below
    raise exc
