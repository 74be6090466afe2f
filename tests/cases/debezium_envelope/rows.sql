SELECT tupleElement(after, 'ticket_price'), tupleElement(source, 'table'), op FROM ${CASE} ORDER BY op
