module cerebro.invalid/guests

go 1.24
