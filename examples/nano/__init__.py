"""How the model inside the package was made: pictures, detector, crop network, calibration; see its model card for the commands."""
