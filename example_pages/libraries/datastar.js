import "@starfederation/datastar";
