from tests.support.tds.server import main

main()
